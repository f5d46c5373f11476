-- Devices by day, many to a number: only where a number has more impressions than the ceiling can one of its devices have.
bitAnd(device, {slots_mask:UInt64}) + toUInt16(day) * ({slots_mask:UInt64} + 1)
