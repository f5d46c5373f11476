SELECT campaign, toUInt16(min(day)) AS first_day, toUInt16(max(day)) AS last_day
FROM (SELECT campaign, day FROM events GROUP BY campaign, day UNION ALL SELECT campaign, day FROM deliveries GROUP BY campaign, day)
GROUP BY campaign ORDER BY campaign
