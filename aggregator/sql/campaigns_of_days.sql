SELECT toString(campaign) AS campaign FROM events WHERE day IN {days:Array(Date)} GROUP BY campaign
