<?php
// Ask TeraCLOUD for the user's node, then for the files there.
declare(strict_types=1);

function fail(string $why): never
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

$user = getenv('TERACLOUD_USER') ?: '';
$password = getenv('TERACLOUD_PASSWORD') ?: '';
$key = getenv('TERACLOUD_API_KEY') ?: '';
$url = getenv('TERACLOUD_URL') ?: 'https://api.teracloud.jp';
if ($user === '' || $password === '') {
    fail('TERACLOUD_USER and TERACLOUD_PASSWORD are not set');
}
if (!preg_match('/^[0-9A-F]{32}\z/', $key)) {
    fail('TERACLOUD_API_KEY is not set, or is not 32 digits of 0-9 and A-F');
}

$ask = function (string $method, string $url, string $header, int $expected) use ($user, $password): string {
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_CUSTOMREQUEST => $method,
        CURLOPT_HTTPAUTH => CURLAUTH_BASIC,
        CURLOPT_USERNAME => $user,
        CURLOPT_PASSWORD => $password,
        CURLOPT_HTTPHEADER => [$header],
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_PROTOCOLS => CURLPROTO_HTTPS, // nothing goes out without TLS
        CURLOPT_SSLVERSION => CURL_SSLVERSION_TLSv1_2, // 1.2 or later
        CURLOPT_FOLLOWLOCATION => false, // the password goes nowhere else
        CURLOPT_TIMEOUT => 30,
    ]);
    $body = curl_exec($curl);
    if ($body === false) {
        fail('TeraCLOUD can\'t be reached: ' . curl_error($curl));
    }
    $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
    if ($status === 202) {
        fail('The account is new, and its node is not ready yet: try again later');
    }
    if ($status !== $expected) {
        fail("TeraCLOUD refused: $status $body");
    }
    return $body;
};

// The REST API takes both credentials …
$account = json_decode(
    $ask('GET', "$url/v2/api/ba/user", "X-TeraCLOUD-API-KEY: $key", 200),
    flags: JSON_THROW_ON_ERROR,
);
// The password goes to the API's own host, and below the cloud's domains.
$host = preg_match('/^([a-z0-9.-]+)(:[0-9]+)?\z/', $account->node, $found) ? $found[1] : '';
$own = $host === parse_url($url, PHP_URL_HOST);
if (!$own && !preg_match('/\.(teracloud\.jp|infini-cloud\.net)\z/', $host)) {
    fail("$account->node is none of TeraCLOUD's hosts: the password does not go there");
}
// … and WebDAV the user's alone.
$ask('PROPFIND', "https://$account->node/dav/", 'Depth: 0', 207);
echo "$account->user on $account->node, $account->capacity GB\n";
