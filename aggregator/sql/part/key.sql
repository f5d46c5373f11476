-- Equal for all hits that could repeat each other or be one hit read twice, and for all verdicts (stages 3 to 5) of a view; may by chance be
-- equal for others.
if(view = 0, bitXor(journal, seq), view) + if(stage BETWEEN 3 AND 5, 3, stage)
