SELECT uniqExact(journal, seq) AS records FROM set_aside
