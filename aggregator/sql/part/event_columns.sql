journal, seq, received, time, client_time, day, hour, campaign, placement, creative, region, stage, source, platform, device_kind, epoch,
    flags, catalog_version, device, view, bucket, network, agent, site
