SELECT greatest((SELECT max(generation) FROM generations), (SELECT max(generation) FROM settled)) AS number
