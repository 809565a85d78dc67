-- One write and one read of a table `p` (id, v): the same work on a plain and on a protected column.
-- --mode=insert | select

sysbench.cmdline.options = {
  mode = { "insert or select", "select" },
  rows = { "rows to select from", 1000 },
}

function thread_init()
  drv = sysbench.sql.driver()
  con = drv:connect()
end

function event()
  if sysbench.opt.mode == "insert" then
    con:query("INSERT INTO p (v) VALUES ('" .. sysbench.rand.string("####-####-####-####") .. "')")
  else
    con:query("SELECT v FROM p WHERE id = " .. sysbench.rand.uniform(1, sysbench.opt.rows))
  end
end

function thread_done()
  con:disconnect()
end
