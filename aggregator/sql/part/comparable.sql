-- What a countable hit may repeat: hits of its day and of the day before.
({{countable}} OR (day IN {back:Array(Date)} AND view != 0))
