journal, seq, toUnixTimestamp64Milli(received) AS received_ms, time, campaign, placement, creative, region, stage, source, platform, device_kind,
    epoch, flags, network, agent, site
