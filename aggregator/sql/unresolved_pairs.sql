SELECT toString(campaign) AS campaign, toString(placement) AS placement FROM unresolved GROUP BY campaign, placement LIMIT {limit:UInt64}
