# Runs the scenario with mysql2.
require 'bigdecimal'
require 'digest'
require 'json'
require 'mysql2'
require 'date'

def value(encoded)
  return encoded unless encoded.is_a?(Hash)
  kind, text = encoded.first
  case kind
  when 'bytes' then [text].pack('H*')
  when 'decimal' then BigDecimal(text)
  when 'date' then Date.parse(text)
  when 'datetime' then Time.new(*text.scan(/\d+/).map(&:to_i), '+00:00')
  when 'repeat' then text * encoded['times']
  when 'repeat_bytes' then [text].pack('H*') * encoded['times']
  else text
  end
end

def show(item)
  if item.is_a?(String) && item.bytesize > 400
    "String of #{item.length}: sha256 #{Digest::SHA256.hexdigest(item)}"
  else
    "#{item.is_a?(String) ? "#{item.encoding} " : ''}#{item.is_a?(BigDecimal) ? item.to_s : item.inspect}"
  end
end

def connect(tls)
  options = { host: ENV['CLIENT_HOST'], port: ENV['CLIENT_PORT'].to_i, username: ENV['CLIENT_USER'], password: ENV['CLIENT_PASSWORD'],
              database: ENV['CLIENT_SCHEMA'], encoding: 'utf8mb4', flags: Mysql2::Client::MULTI_STATEMENTS, reconnect: false }
  options.merge!(sslca: ENV['CLIENT_CA']) if tls
  client = Mysql2::Client.new(**options)
  puts "  server #{client.server_info[:version]} cipher #{client.ssl_cipher ? 'yes' : 'no'}"
  client
end

def answer(client, result)
  if result
    puts "  columns #{result.fields.zip(result.respond_to?(:field_types) ? result.field_types : []).inspect}"
    result.each(as: :array) { |row| puts "  row #{row.map { |item| show(item) }.join(', ')}" }
  end
  puts "  affected #{client.affected_rows} id #{client.last_id} warnings #{client.warning_count} info #{client.query_info.inspect}"
end

def query(client, sql)
  answer(client, client.query(sql))
  answer(client, client.store_result) while client.next_result
end

puts 'start'
client = connect(false)
JSON.parse(File.read(ENV['CLIENT_SCENARIO'])).each do |step|
  sql = step['sql'] || ''
  puts "#{step['do']} #{(step['name'] || sql)[0, 100]}"
  runs = step['params'] && step['params'][0].is_a?(Array) ? step['params'].map { |run| run.map { |v| value(v) } } : []
  begin
    case step['do']
    when 'section' then nil
    when 'connect'
      client.close
      client = connect(step['tls'])
    when 'query', 'call' then query(client, sql)
    when 'prepared', 'too_long'
      statement = client.prepare(sql)
      runs.each do |run|
        result = statement.execute(*run)
        if result
          puts "  columns #{result.fields.inspect}"
          result.each(as: :array) { |row| puts "  row #{row.map { |item| show(item) }.join(', ')}" }
        end
        puts "  affected #{statement.affected_rows} id #{statement.last_id}"
      end
      statement.close
    when 'text'
      runs.each do |run|
        parts = sql.split('?', -1)
        text = parts.shift.dup
        parts.zip(run) { |part, v| text << (v.nil? ? 'NULL' : "'#{client.escape(v.to_s).force_encoding('UTF-8')}'") << part }
        query(client, text)
      end
    when 'batch'
      statement = client.prepare(sql)
      step['count'].times { |i| statement.execute(*step['params'].map { |p| p.is_a?(String) ? p.sub('{i}', i.to_s) : p }) }
      puts "  affected #{statement.affected_rows} id #{statement.last_id}"
      statement.close
    when 'begin', 'commit', 'rollback' then client.query(step['do'].upcase)
    when 'ping' then puts "  ping #{client.ping} #{client.select_db(ENV['CLIENT_SCHEMA'])}"
    else raise "unknown step #{step['do']}"
    end
  rescue Mysql2::Error => e
    puts "  error #{e.error_number} #{e.sql_state} #{e.message}"
  rescue ArgumentError => e
    # The driver makes a Time of a TIME, also of one beyond 24 hours; what is left of the answer is on the line.
    puts "  the driver raised #{e.message}"
    client = connect(false)
  end
end
client.close
puts 'end'
