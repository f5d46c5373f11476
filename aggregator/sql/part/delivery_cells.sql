campaign, day, placement, hour, creative, region, platform, source, class
