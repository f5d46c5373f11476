-- What follows `ALTER TABLE` and the name of a table of events.
UPDATE device = 0, device_kind = 0, epoch = 0, network = 0, agent = '' WHERE {{erasable}}
