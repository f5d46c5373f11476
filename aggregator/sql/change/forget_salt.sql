-- What made a device another one: without it nobody can say which.
UPDATE salt = 0 WHERE request = {request:UInt64}
