stage BETWEEN 3 AND 5 AND view != 0
