SELECT count() AS number FROM system.columns WHERE database = currentDatabase() AND table = {table:String} AND name = {column:String}
