transform(toString(placement), {placements:Array(String)}, {media:Array(String)}, '')
