<?php
// An Eloquent model whose `password` and `client_secret` are protected columns. The scenario is its own:
// what a Laravel application does with a model.

require '/usr/share/php/Illuminate/Support/autoload.php';
require '/usr/share/php/Illuminate/Database/autoload.php';
require '/usr/share/php/Illuminate/Events/autoload.php';
require '/usr/share/php/Illuminate/Pagination/autoload.php';

use Illuminate\Database\Capsule\Manager as Capsule;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\SoftDeletes;
use Illuminate\Database\QueryException;
use Illuminate\Support\Carbon;

class Account extends Model {
    protected $guarded = [];
    protected $hidden = ['password'];
    protected $casts = ['settings' => 'array'];
}

function connect(bool $tls): Capsule {
    global $argv;
    $capsule = new Capsule();
    $capsule->addConnection([
        'driver' => 'mysql', 'host' => getenv('CLIENT_HOST'), 'port' => getenv('CLIENT_PORT'), 'database' => getenv('CLIENT_SCHEMA'),
        'username' => getenv('CLIENT_USER'), 'password' => getenv('CLIENT_PASSWORD'), 'charset' => 'utf8mb4',
        'collation' => 'utf8mb4_unicode_ci', 'prefix' => '', 'strict' => true,
        'options' => [PDO::ATTR_EMULATE_PREPARES => $argv[1] === 'eloquent-emulated'] + ($tls ? [PDO::MYSQL_ATTR_SSL_CA => getenv('CLIENT_CA')] : []),
    ]);
    $capsule->setAsGlobal();
    $capsule->bootEloquent();
    return $capsule;
}

function tell(string $what, $value): void {
    echo $what, ' ', json_encode($value, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
}

function attempt(string $what, callable $work): void {
    try {
        tell($what, $work());
    } catch (QueryException $error) {
        // The message holds the statement with its values: what Laravel prints, not what the server said.
        tell("$what: error", $error->errorInfo);
    }
}

date_default_timezone_set('UTC');
Carbon::setTestNow('2026-01-02 03:04:05');

foreach ([false, true] as $tls) {
    $capsule = connect($tls);
    tell('tls', $tls);
    Account::query()->delete();
    $ada = Account::create(['name' => 'ada', 'password' => 'Zeehond-$2y$10$abcdefghijklmnopqrstuv', 'client_secret' => 'Zeehond é € 𝄞', 'settings' => ['a' => 1]]);
    $bob = Account::create(['name' => 'bob', 'password' => 'Zeehond bob', 'client_secret' => null]);
    tell('created', [$ada->wasRecentlyCreated, $bob->exists]);
    tell('hidden', $ada->refresh()->toArray());
    tell('found', Account::find($bob->id)->makeVisible('password')->toArray());
    tell('first', Account::where('name', 'ada')->firstOrFail()->only(['name', 'password', 'client_secret', 'settings']));
    tell('pluck', Account::orderBy('id')->pluck('client_secret', 'name'));
    tell('value', Account::where('name', 'ada')->value('client_secret'));
    tell('null', Account::whereNull('client_secret')->count());
    tell('not null', Account::whereNotNull('client_secret')->pluck('name'));
    $bob->client_secret = 'Zeehond bob\'s "secret" \\';
    tell('save', $bob->save());
    tell('dirty', $bob->fill(['client_secret' => 'Zeehond bob\'s "secret" \\'])->isDirty());
    tell('update', Account::where('name', 'ada')->update(['password' => 'Zeehond new']));
    tell('firstOrCreate', Account::firstOrCreate(['name' => 'cyd'], ['password' => 'Zeehond cyd'])->wasRecentlyCreated);
    tell('updateOrCreate', Account::updateOrCreate(['name' => 'cyd'], ['client_secret' => 'Zeehond cyd'])->client_secret);
    tell('insert', Account::insert(array_map(fn ($i) => ['name' => "bulk $i", 'password' => "Zeehond bulk $i", 'client_secret' => $i % 3 ? "Zeehond $i" : null], range(1, 30))));
    tell('upsert', $capsule->table('accounts')->upsert([['id' => $ada->id, 'name' => 'ada', 'password' => 'Zeehond upserted']], ['id'], ['password']));
    tell('ada', $ada->refresh()->password);
    $seen = [];
    Account::orderBy('id')->chunk(7, function ($accounts) use (&$seen) { foreach ($accounts as $account) $seen[] = $account->password; });
    tell('chunked', $seen);
    tell('cursor', Account::orderBy('id')->cursor()->map->client_secret->take(5)->values());
    tell('page', Account::select('name', 'client_secret')->orderBy('name')->limit(3)->offset(2)->get());
    tell('join', $capsule->table('accounts')->join('accounts as other', 'other.id', '=', 'accounts.id')->orderBy('accounts.id')->limit(2)->get(['accounts.name', 'other.password as secret']));
    tell('increment', $capsule->table('users')->where('name', 'nobody')->increment('visits', 1, ['email' => 'Zeehond']));
    attempt('rolled back', fn () => $capsule->getConnection()->transaction(function () {
        Account::create(['name' => 'gone', 'password' => 'Zeehond gone']);
        throw new QueryException('', [], new PDOException('on purpose'));
    }));
    tell('nested', $capsule->getConnection()->transaction(function () use ($capsule) {
        Account::create(['name' => 'outer', 'password' => 'Zeehond outer']);
        try {
            $capsule->getConnection()->transaction(function () {
                Account::create(['name' => 'inner', 'password' => 'Zeehond inner']);
                throw new RuntimeException();
            });
        } catch (RuntimeException) {
        }
        return Account::whereIn('name', ['outer', 'inner', 'gone'])->pluck('name');
    }));
    attempt('locked', fn () => $capsule->getConnection()->transaction(fn () => Account::where('name', 'ada')->lockForUpdate()->first()->client_secret));
    attempt('no password', fn () => Account::create(['name' => 'none'])->id);
    attempt('no table', fn () => $capsule->table('no_such_table')->get());
    attempt('too long', fn () => Account::create(['name' => 'long', 'password' => str_repeat('Zeehond ', 100)]));
    $columns = $capsule->getConnection()->getSchemaBuilder()->getColumnListing('accounts');
    sort($columns); // MySQL 9.7 gives them in any order
    tell('columns', $columns);
    tell('deleted', Account::where('name', 'like', 'bulk%')->delete());
    tell('left', Account::orderBy('id')->get()->makeVisible('password')->toArray());
}
echo "end\n";
