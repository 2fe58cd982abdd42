-- Allows one more attempt of what waits for a person, as kubectl whatsapp retry does.
-- Each value counts once, and for a while only: it is the time of now.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["whatsapp-operator.dev/retry"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
