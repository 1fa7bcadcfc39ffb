# Keeps one PostgreSQL for as long as whoever started it holds our standard input open: however that process ends, the
# server ends with it and its files go. Called as: sh -c THIS keeper BINARIES DIRECTORY
trap '' INT TERM
binaries=$1 directory=$2
cd /
"$binaries/initdb" --pgdata "$directory/data" --no-sync --auth trust --username honcho --encoding UTF8 --locale C \
  > "$directory/initdb.log" 2>&1 || {
  cat "$directory/initdb.log" >&2
  exit 1
}
# Nothing here has to outlive a power cut.
"$binaries/postgres" -D "$directory/data" -k "$directory" -h '' -c fsync=off -c full_page_writes=off \
  -c max_connections=400 -c shared_buffers=64MB -c autovacuum_naptime=20s -c log_min_messages=fatal \
  > "$directory/postgres.log" 2>&1 < /dev/null &
server=$!
until "$binaries/pg_isready" --quiet --host "$directory"; do
  kill -0 $server 2> /dev/null || {
    cat "$directory/postgres.log" >&2
    exit 1
  }
  sleep 0.05
done
echo ready
read -r _
kill -QUIT $server 2> /dev/null
wait $server
rm -rf "$directory"
