SELECT * FROM deliveries
    WHERE campaign = {campaign:String} AND {{in_force}} AND {{seen}}
