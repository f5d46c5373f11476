-- Equal for all hits that could repeat each other or be one hit read twice; may by chance be equal for others.
if(view = 0, bitXor(journal, seq), view) + stage
