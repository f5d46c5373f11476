SELECT * FROM id_days
    WHERE campaign = {campaign:String} AND {{in_force}} AND {{seen}}
