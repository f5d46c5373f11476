SELECT day, writer, max(opened) AS newest, max(closed) AS ended, max(opened_at) AS since FROM marks GROUP BY day, writer
