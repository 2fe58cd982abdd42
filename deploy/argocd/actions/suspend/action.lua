-- Has the operator leave the channel alone. The number serves as before.
obj.spec.suspend = true
return obj
