INSERT INTO judged
{{judged}}
