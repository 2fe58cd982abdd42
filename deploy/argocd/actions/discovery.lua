-- What a person may do with a WhatsAppChannel in Argo CD. Nothing of it works on a channel that is suspended, but resume.
local suspended = obj.spec.suspend == true
local actions = {}
actions["send-code"] = { displayName = "Send a code to the phone", iconClass = "fa fa-fw fa-sms", disabled = suspended }
actions["retry"] = { displayName = "Try once more", iconClass = "fa fa-fw fa-redo", disabled = suspended }
actions["reconcile"] = { displayName = "Look now", iconClass = "fa fa-fw fa-eye", disabled = suspended }
actions["suspend"] = { iconClass = "fa fa-fw fa-pause", disabled = suspended }
actions["resume"] = { iconClass = "fa fa-fw fa-play", disabled = not suspended }
return actions
