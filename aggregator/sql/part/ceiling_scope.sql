day IN {ceiling_days:Array(Date)} AND stage = 2 AND device != 0
