-- The health of a WhatsAppChannel or of a WhatsAppPortfolio, for Argo CD. What it makes of every state: docs/gitops.md.

-- Meta or time ends these, and no person can.
local passes = {
  NameInReview = true,
  NameChangeQueued = true,
  NameExpiredWaits = true,
  NameNotLiveYet = true,
  NameNotReady = true,
  NameLimitReached = true,
  AccountInReview = true,
  AddingRestricted = true,
  Throttled = true,
  CodeLimitReached = true,
  CodeRequestPaused = true,
  RegistrationLimitReached = true,
  RegistrationPaused = true,
  PinLocked = true,
  NumberDeletedRecently = true,
  MetaUnavailable = true,
  ObservationIncomplete = true,
  StatusNotKnown = true,
  ClaimPause = true,
  BusinessInReview = true,
  WaitsForRegistration = true,
}

local status = obj.status or {}
local ready, reconciling, stalled
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.type == "Reconciling" then
    reconciling = condition.status == "True"
  elseif condition.type == "Stalled" then
    stalled = condition.status == "True"
  end
end

local function is(health, message)
  return { status = health, message = message or (ready and ready.message) or "" }
end

if obj.metadata.deletionTimestamp ~= nil then
  return is("Progressing")
end
if ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return is("Progressing", "the operator has not looked at this version yet")
end
if obj.spec ~= nil and obj.spec.suspend == true then
  return is("Suspended")
end
if stalled then
  return is("Degraded")
end
-- What was Ready and cannot be seen at Meta for hours fails nothing: it may serve as before.
if ready.status == "True" or ready.reason == "NotObserved" then
  return is("Healthy")
end
if reconciling or passes[ready.reason] then
  return is("Progressing")
end
-- Persons come before Meta in the list.
local wait = (status.waitingFor or {})[1]
if wait == nil or wait.actor == "Meta" then
  return is("Progressing")
end
local message = "waits for " .. wait.actor .. ", " .. wait.action .. ": " .. ready.message
if wait.actor == "PhoneHolder" then
  return is("Suspended", message)
end
return is("Degraded", message)
