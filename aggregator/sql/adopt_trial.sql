-- The same for placements in their trial state.
INSERT INTO trial_events (
    {{event_columns}}
)
{{adopt_rows}}
