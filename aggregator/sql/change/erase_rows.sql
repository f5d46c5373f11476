-- Rows of events lose what stands for a person. Of agent and network that is left by which the lists take the hit out of net, and no more: else it
-- would count from then on. What says that it was a device that was erased (bit 24), and under which epoch, keeps it apart from another device of its view. See
-- `rights.rs`.
UPDATE device = 0, device_kind = 0, flags = bitOr(flags, toUInt32(16777216)),
    network = if(arrayExists((low, high) -> network BETWEEN low AND high, {lows:Array(UInt64)}, {highs:Array(UInt64)}), network, 0),
    agent = multiIf(
        {{app_agent}}, '',
        multiMatchAny(lower(agent), {robot_patterns:Array(String)}), {robot:String},
        multiMatchAny(lower(agent), {non_browser_patterns:Array(String)}), {program:String},
        '')
WHERE {{erasable}}
