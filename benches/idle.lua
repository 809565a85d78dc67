-- Connections that do nothing but stay: for measuring memory.

local ffi = require("ffi")
ffi.cdef("int usleep(unsigned int);")

function thread_init()
  drv = sysbench.sql.driver()
  con = drv:connect()
end

function event()
  con:query("SELECT 1")
  ffi.C.usleep(1000000)
end

function thread_done()
  con:disconnect()
end
