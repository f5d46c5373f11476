-- Unresolved hits of a campaign and its placements become events.
INSERT INTO events (
    {{event_columns}}
)
{{adopt_rows}}
