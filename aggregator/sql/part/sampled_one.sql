-- Whether a device is in the sample, as the one that it is under the present key: both of its keys are in or out as one.
if(present = 0, half, present) <= {device_last:UInt64}
