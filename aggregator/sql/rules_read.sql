SELECT at, lists, campaigns, seconds FROM rules ORDER BY at DESC LIMIT 1
