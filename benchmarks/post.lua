-- wrk: POST one body over and over. Arguments: body file, content type, function key.
function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.body = file:read("*all")
  file:close()
  wrk.method = "POST"
  wrk.headers["content-type"] = arguments[2]
  wrk.headers["x-functions-key"] = arguments[3]
  request = function() return wrk.format() end
end
