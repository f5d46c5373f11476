-- By time, then by content. Hits that are equal in all of this are interchangeable.
time, received, hour, placement, device, creative, region, platform, source, device_kind, flags, network, agent
