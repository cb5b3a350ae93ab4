SELECT chosen.member_id, images.id, images.owner, images.former_owner, images.name, images.status, images.visibility, images.former_visibility, images.protected, images.os_hidden, images.disk_format, images.container_format, images.size, images.created_at, images.updated_at, members.status AS status_1, members.created_at AS created_at_1, members.updated_at AS updated_at_1, members.answered_at, members.notice_seconds, members.expires_at, members.message, endings.status AS status_2, endings.reason, endings.began_at, endings.ends_at, endings.offered_at, endings.answered_at AS answered_at_1, endings.notice_seconds AS notice_seconds_1, endings.expires_at AS expires_at_1, endings.message AS message_1 
FROM (SELECT keys.created_at AS created_at, keys.image_id AS image_id, keys.member_id AS member_id 
FROM (SELECT anon_1.created_at AS created_at, anon_1.image_id AS image_id, anon_1.member_id AS member_id 
FROM (SELECT images.created_at AS created_at, images.id AS image_id, members.member_id AS member_id 
FROM images JOIN members ON members.image_id = images.id 
WHERE images.owner = ? AND images.visibility = ? AND members.expires_at > ? AND images.owner IS NOT members.member_id AND members.status = ? AND images.id = ? AND members.member_id = ? AND (images.created_at, images.id, members.member_id) < (?, ?, ?) ORDER BY images.created_at DESC, images.id DESC, members.member_id DESC
 LIMIT ? OFFSET ?) AS anon_1 UNION ALL SELECT anon_2.created_at AS created_at, anon_2.image_id AS image_id, anon_2.member_id AS member_id 
FROM (SELECT images.created_at AS created_at, images.id AS image_id, endings.member_id AS member_id 
FROM images JOIN endings ON endings.image_id = images.id 
WHERE endings.ends_at > ? AND images.owner = ? AND NOT (EXISTS (SELECT * 
FROM members 
WHERE members.image_id = endings.image_id AND members.member_id = endings.member_id AND images.visibility = ? AND members.expires_at > ? AND images.owner IS NOT members.member_id)) AND endings.status = ? AND images.id = ? AND endings.member_id = ? AND (images.created_at, images.id, endings.member_id) < (?, ?, ?) ORDER BY images.created_at DESC, images.id DESC, endings.member_id DESC
 LIMIT ? OFFSET ?) AS anon_2 UNION ALL SELECT anon_3.created_at AS created_at, anon_3.image_id AS image_id, anon_3.member_id AS member_id 
FROM (SELECT images.created_at AS created_at, images.id AS image_id, endings.member_id AS member_id 
FROM images JOIN endings ON endings.image_id = images.id 
WHERE endings.ends_at > ? AND images.former_owner = ? AND endings.status = ? AND images.id = ? AND endings.member_id = ? AND (images.created_at, images.id, endings.member_id) < (?, ?, ?) ORDER BY images.created_at DESC, images.id DESC, endings.member_id DESC
 LIMIT ? OFFSET ?) AS anon_3) AS keys ORDER BY keys.created_at DESC, keys.image_id DESC, keys.member_id DESC
 LIMIT ? OFFSET ?) AS chosen JOIN images ON images.id = chosen.image_id LEFT OUTER JOIN members ON members.image_id = chosen.image_id AND members.member_id = chosen.member_id AND images.visibility = ? AND members.expires_at > ? AND images.owner IS NOT members.member_id LEFT OUTER JOIN endings ON endings.image_id = chosen.image_id AND endings.member_id = chosen.member_id AND endings.ends_at > ? ORDER BY chosen.created_at DESC, chosen.image_id DESC, chosen.member_id DESC
