-- Which placements whoever asks sees.
({limited:UInt8} = 0 OR placement IN {only:Array(String)})
