-- Of the catalog's campaigns, so that what strangers send does not make the answer longer.
SELECT toString(campaign) AS id FROM unresolved WHERE campaign IN {campaigns:Array(String)} GROUP BY id ORDER BY id
