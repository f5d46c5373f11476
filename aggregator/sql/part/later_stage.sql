stage BETWEEN 3 AND 10 AND view != 0
