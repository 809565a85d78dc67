<?php
// WordPress as its pages and its admin use it: installed, then posts, comments, accounts, settings, searches, with an
// empty object cache for each round, as every request begins with one. `php wordpress.php FOLDER`: where it is unpacked.

error_reporting(E_ERROR);
define('ABSPATH', rtrim($argv[1], '/') . '/');
define('DB_NAME', getenv('GOAL_SCHEMA'));
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', '127.0.0.1:' . getenv('GOAL_PORT'));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('WP_CONTENT_DIR', ABSPATH . 'wp-content');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    define("{$name}_KEY", 'only for this run');
    define("{$name}_SALT", 'only for this run');
}
$table_prefix = 'wp_';
$_SERVER += ['HTTP_HOST' => 'blog.example.org', 'REQUEST_URI' => '/', 'REMOTE_ADDR' => '192.0.2.7', 'REQUEST_METHOD' => 'GET',
    'SERVER_PROTOCOL' => 'HTTP/1.1', 'HTTP_USER_AGENT' => 'Mozilla/5.0', 'SERVER_NAME' => 'blog.example.org', 'PHP_SELF' => '/index.php'];
$install = !isset($argv[2]);
if ($install) {
    define('WP_INSTALLING', true);
}
require ABSPATH . 'wp-settings.php';
add_filter('pre_wp_mail', '__return_true');
add_filter('comment_flood_filter', '__return_false');
add_filter('wp_die_handler', fn() => function ($message) { throw new RuntimeException(is_wp_error($message) ? $message->get_error_message() : (string) $message); });

if ($install) {
    require ABSPATH . 'wp-admin/includes/upgrade.php';
    wp_install('A blog', 'admin', 'admin@example.org', true, '', 'secret');
    // A fresh process, no longer installing.
    passthru(escapeshellcmd(PHP_BINARY) . ' ' . escapeshellarg(__FILE__) . ' ' . escapeshellarg($argv[1]) . ' run', $status);
    exit($status);
}
require ABSPATH . 'wp-admin/includes/admin.php';

function must($value) {
    if (is_wp_error($value) || !$value) {
        throw new RuntimeException(is_wp_error($value) ? $value->get_error_message() : 'nothing came back');
    }
    return $value;
}

function request(int $n): void {
    global $wpdb;
    wp_cache_flush();
    wp_load_alloptions();
    $user = must(wp_insert_user(['user_login' => "reader$n", 'user_email' => "reader$n@example.org", 'user_pass' => 'pass',
        'first_name' => 'Rea', 'last_name' => 'Der', 'description' => 'reads', 'user_url' => 'https://example.org', 'role' => 'author']));
    must(wp_authenticate("reader$n", 'pass'));
    must(wp_authenticate("reader$n@example.org", 'pass'));
    wp_set_current_user($user);
    update_user_meta($user, 'phone', '+44 20 7946 0001');
    get_user_meta($user, 'phone', true);
    must(wp_update_user(['ID' => $user, 'user_url' => 'https://example.com', 'description' => 'reads more', 'display_name' => 'R. Der']));
    must(get_password_reset_key(get_user_by('login', "reader$n")));
    get_user_by('email', "reader$n@example.org");
    get_users(['number' => 10, 'orderby' => 'registered', 'order' => 'DESC']);
    get_users(['search' => '*reader*', 'search_columns' => ['user_login', 'user_nicename']]);
    get_users(['role' => 'author', 'fields' => ['ID', 'user_login']]);
    count_users();

    $category = must(term_exists('News', 'category') ?: wp_insert_term('News', 'category'));
    $post = must(wp_insert_post(['post_title' => "Title $n", 'post_content' => "Some text $n", 'post_status' => 'publish',
        'post_author' => $user, 'post_password' => $n % 3 ? '' : 'hush', 'post_category' => [(int) $category['term_id']], 'tags_input' => ['a', 'b']], true));
    must(wp_update_post(['ID' => $post, 'post_content' => 'Changed']));
    update_post_meta($post, 'mood', 'calm');
    get_post_meta($post);
    wp_cache_flush();
    new WP_Query(['posts_per_page' => 10]);
    new WP_Query(['p' => $post]);
    new WP_Query(['s' => 'text']);
    new WP_Query(['category_name' => 'news', 'paged' => 1]);
    new WP_Query(['author' => $user, 'tag' => 'a', 'orderby' => 'comment_count']);
    new WP_Query(['meta_key' => 'mood', 'meta_value' => 'calm', 'year' => (int) gmdate('Y')]);
    new WP_Query(['post_type' => 'any', 'post__in' => [$post, 1], 'orderby' => 'post__in']);
    get_adjacent_post(false, '', true);
    wp_get_archives(['echo' => false]);
    get_categories();
    get_tags();
    wp_count_posts();

    foreach ([1, 2] as $k) {
        wp_set_current_user($k === 1 ? 0 : $user);
        $comment = must(wp_new_comment(['comment_post_ID' => $post, 'comment_author' => "Guest $n", 'comment_author_email' => "guest$n@example.org",
            'comment_author_url' => 'https://example.net', 'comment_content' => "Comment $n $k", 'comment_type' => 'comment', 'comment_parent' => 0,
            'user_id' => $k === 1 ? 0 : $user, 'comment_author_IP' => '192.0.2.' . ($n % 250), 'comment_agent' => 'Mozilla/5.0'], true));
    }
    wp_set_comment_status($comment, 'approve');
    wp_update_comment(['comment_ID' => $comment, 'comment_content' => 'Edited']);
    get_comments(['post_id' => $post, 'status' => 'approve', 'orderby' => 'comment_date_gmt']);
    get_comments(['number' => 5, 'status' => 'hold']);
    get_comment($comment);
    wp_count_comments($post);
    wp_cache_flush();
    get_comments(['post_id' => $post, 'hierarchical' => 'threaded']);
    wp_trash_comment($comment);

    update_option('blogdescription', "Round $n");
    set_transient("round_$n", ['n' => $n], 60);
    get_transient("round_$n");
    delete_transient("round_$n");
    wp_cache_flush();
    get_option('blogdescription');
    wp_trash_post($post);
    if ($n % 2) {
        wp_delete_post($post, true);
        require_once ABSPATH . 'wp-admin/includes/user.php';
        wp_delete_user($user, 1);
    }
    if ($wpdb->last_error) {
        throw new RuntimeException($wpdb->last_error);
    }
}

for ($n = 1; $n <= 12; $n++) {
    request($n);
}
