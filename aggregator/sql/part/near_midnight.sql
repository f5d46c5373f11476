(hour < {straddle_hours:UInt8} OR hour >= 24 - {straddle_hours:UInt8})
