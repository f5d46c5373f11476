SELECT count() AS devices FROM devices_set_aside WHERE {{in_force}}
