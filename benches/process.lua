-- One cache hit after the other, from a hundred users.
local user = 0
request = function()
  user = (user + 1) % 100
  local body = string.format('{"prompt": "make the sky purple", "active_image": true, "user_id": "user-%d"}', user)
  return wrk.format("POST", "/api/v2/process", {["content-type"] = "application/json"}, body)
end
