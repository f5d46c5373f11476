SELECT create_table_query AS definition FROM system.tables WHERE database = currentDatabase() AND name = {table:String}
