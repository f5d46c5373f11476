campaign, day, placement, platform, class, device_kind
