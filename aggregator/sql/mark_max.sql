SELECT greatest((SELECT max(mark) FROM changed), (SELECT max(marks_until) FROM settled)) AS number
