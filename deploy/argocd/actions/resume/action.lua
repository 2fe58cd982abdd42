-- Has the operator go on with the channel.
obj.spec.suspend = false
return obj
