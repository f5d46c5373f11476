-- The bit of the member that a row is of; 0 for none.
if({by:String} = 'id_kind', transform(toString(device_kind), {member_keys:Array(String)}, {member_bits:Array(UInt32)}, {member_other:UInt32}),
            transform(toString(placement), {member_keys:Array(String)}, {member_bits:Array(UInt32)}, {member_other:UInt32}))
