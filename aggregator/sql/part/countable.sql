(day IN {days:Array(Date)} OR (day IN {around:Array(Date)} AND {{later_stage}} AND {{near_midnight}}))
