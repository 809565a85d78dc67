<?php
// What a Laravel application's models, paginator and validation send.

require '/usr/share/php/Illuminate/Support/autoload.php';
require '/usr/share/php/Illuminate/Database/autoload.php';
require '/usr/share/php/Illuminate/Events/autoload.php';
require '/usr/share/php/Illuminate/Pagination/autoload.php';

use Illuminate\Database\Capsule\Manager as Capsule;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\SoftDeletes;

error_reporting(E_ERROR);
$capsule = new Capsule();
$capsule->addConnection(['driver' => 'mysql', 'host' => '127.0.0.1', 'port' => getenv('GOAL_PORT'), 'database' => getenv('GOAL_SCHEMA'),
    'username' => 'root', 'password' => '', 'charset' => 'utf8mb4', 'collation' => 'utf8mb4_unicode_ci', 'strict' => true]);
$capsule->setAsGlobal();
$capsule->setEventDispatcher(new Illuminate\Events\Dispatcher(new Illuminate\Container\Container()));
$capsule->bootEloquent();
Illuminate\Pagination\Paginator::currentPageResolver(fn() => 1);

class User extends Model {
    use SoftDeletes;
    protected $guarded = [];
    protected $casts = ['settings' => 'array', 'active' => 'boolean'];
    public function posts() { return $this->hasMany(Post::class); }
    public function roles() { return $this->belongsToMany(Role::class); }
    public function profile() { return $this->hasOne(Profile::class); }
    public function scopeActive($query) { return $query->where('active', true); }
}
class Post extends Model {
    protected $guarded = [];
    public function user() { return $this->belongsTo(User::class); }
    public function comments() { return $this->morphMany(Comment::class, 'commentable'); }
}
class Profile extends Model { protected $guarded = []; }
class Role extends Model { protected $guarded = []; public $timestamps = false; }
class Comment extends Model { protected $guarded = []; public function commentable() { return $this->morphTo(); } }

$schema = Capsule::schema();
$schema->create('users', function ($t) {
    $t->id(); $t->string('name'); $t->string('email')->unique(); $t->string('password'); $t->string('client_secret')->nullable();
    $t->rememberToken(); $t->boolean('active')->default(true); $t->json('settings')->nullable(); $t->timestamps(); $t->softDeletes();
});
$schema->create('profiles', function ($t) {
    $t->id(); $t->foreignId('user_id')->constrained(); $t->string('phone')->nullable(); $t->text('address')->nullable(); $t->date('born_on')->nullable(); $t->timestamps();
});
$schema->create('posts', function ($t) { $t->id(); $t->foreignId('user_id')->constrained(); $t->string('title'); $t->text('body'); $t->integer('likes')->default(0); $t->timestamps(); });
$schema->create('roles', function ($t) { $t->id(); $t->string('name'); });
$schema->create('role_user', function ($t) { $t->foreignId('user_id'); $t->foreignId('role_id'); $t->primary(['user_id', 'role_id']); });
$schema->create('comments', function ($t) { $t->id(); $t->morphs('commentable'); $t->text('body'); $t->string('ip')->nullable(); $t->timestamps(); });
foreach (['admin', 'editor', 'reader'] as $name) Role::create(['name' => $name]);

for ($n = 0; $n < 20; $n++) {
    $user = User::create(['name' => "User $n", 'email' => "user$n@example.org", 'password' => '$2y$10$abcdefghijklmnopqrstuv', 'client_secret' => "secret $n", 'settings' => ['a' => $n]]);
    $user->profile()->create(['phone' => '+41 31', 'address' => "Street $n", 'born_on' => '1980-02-03']);
    $user->roles()->sync([1, 2]);
    $user->roles()->syncWithoutDetaching([3]);
    $user->roles()->detach(1);
    $user->posts()->createMany([['title' => 'One', 'body' => 'Text'], ['title' => 'Two', 'body' => 'Text']]);
    $post = $user->posts()->first();
    $post->comments()->create(['body' => 'Nice', 'ip' => '192.0.2.1']);
    $post->increment('likes');
    // Signing in: by e-mail, then the remembered session.
    $found = User::where('email', "user$n@example.org")->first();
    $found->forceFill(['remember_token' => "token $n"])->save();
    User::find($found->id)->update(['password' => 'rehashed', 'client_secret' => null]);
    $found->refresh()->touch();
    User::where('email', 'taken@example.org')->where('id', '<>', $found->id)->count(); // the rule `unique`
    User::firstOrCreate(['email' => "first$n@example.org"], ['name' => 'First', 'password' => 'x']);
    User::updateOrCreate(['email' => "first$n@example.org"], ['name' => 'Updated']);
    User::upsert([['email' => "up$n@example.org", 'name' => 'Up', 'password' => 'y']], ['email'], ['name', 'password']);
    User::insert([['name' => 'A', 'email' => "a$n@example.org", 'password' => 'x'], ['name' => 'B', 'email' => "b$n@example.org", 'password' => 'x']]);
    User::with(['profile', 'posts.comments', 'roles'])->active()->latest()->paginate(15);
    User::withCount('posts')->having('posts_count', '>', 1)->orderBy('id')->simplePaginate(10);
    User::whereHas('posts', fn($q) => $q->where('title', 'like', 'O%'))->orWhereDoesntHave('roles')->limit(5)->get();
    User::whereNotNull('client_secret')->whereIn('id', [1, 2, 3])->pluck('name', 'id');
    User::select('id', 'name', 'email')->where('name', '!=', '')->orWhere('email', 'like', '%x%')->exists();
    User::query()->join('posts', 'posts.user_id', '=', 'users.id')->select('users.*', 'posts.title')->distinct()->take(3)->get();
    User::selectRaw('active, count(*) as n')->groupBy('active')->get();
    Post::with('user:id,name')->whereDate('created_at', date('Y-m-d'))->orderByDesc('likes')->limit(5)->get();
    Profile::whereYear('created_at', date('Y'))->avg('user_id');
    Comment::with('commentable')->latest()->take(5)->get();
    User::chunkById(10, fn($users) => $users->each->getKey(), 'id');
    foreach (User::where('active', true)->cursor() as $each) break;
    User::where('id', '>', 0)->sum('id');
    Capsule::connection()->transaction(function () use ($user) {
        $locked = User::lockForUpdate()->find($user->id);
        $locked->settings = ['changed' => true];
        $locked->save();
        Profile::where('user_id', $user->id)->update(['phone' => '+41 32', 'address' => 'Elsewhere']);
    });
    $user->delete();
    User::withTrashed()->find($user->id)->restore();
    User::onlyTrashed()->count();
    Comment::where('commentable_id', $post->id)->delete();
    User::where('email', "a$n@example.org")->forceDelete();
}
