SELECT images.id, images.owner, images.name, images.status, images.visibility, images.protected, images.os_hidden, images.min_disk, images.min_ram, images.disk_format, images.container_format, images.size, images.virtual_size, images.checksum, images.os_hash_algo, images.os_hash_value, images.created_at, images.updated_at, images.content_id, images.stores, images.location_references, images.external_url, images.former_owner, images.former_visibility, images.former_status, images.tags, images.properties, sized.promised, sized.found 
FROM images JOIN (SELECT chosen.image_id AS image_id, chosen.promised AS promised, chosen.key_0 AS key_0, chosen.key_1 AS key_1, chosen.key_2 AS key_2, images.details_bytes + length(images.location_references) AS own_bytes, sum(images.details_bytes + length(images.location_references)) OVER (ORDER BY chosen.key_0 ASC, chosen.key_1 DESC, chosen.key_2 DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total_bytes, count(*) OVER () AS found 
FROM (SELECT candidates.image_id AS image_id, candidates.promised AS promised, candidates.key_0 AS key_0, candidates.key_1 AS key_1, candidates.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images 
WHERE images.owner = ? AND +images.visibility = 'shared' AND images.os_hidden = 0 AND images.size >= ? AND +images.status IN (?, ?) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = ? AND image_properties.value = ?
 LIMIT ? OFFSET 0)) AND coalesce(images.name, '') = ? AND (images.created_at, images.id) < (?, ?) UNION ALL SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images 
WHERE images.owner = ? AND +images.visibility = 'shared' AND images.os_hidden = 0 AND images.size >= ? AND +images.status IN (?, ?) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = ? AND image_properties.value = ?
 LIMIT ? OFFSET 0)) AND coalesce(images.name, '') > ? UNION ALL SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images 
WHERE images.visibility = 'shared' AND (EXISTS (SELECT members.image_id 
FROM members 
WHERE members.image_id = images.id AND images.visibility = 'shared' AND images.owner IS NOT ? AND members.member_id = ? AND members.expires_at > ? AND members.hidden = 0 AND NOT (EXISTS (SELECT endings.image_id 
FROM endings 
WHERE endings.image_id = members.image_id AND endings.member_id = members.member_id AND endings.ends_at > ?
 LIMIT ? OFFSET 0))
 LIMIT ? OFFSET 0)) AND images.os_hidden = 0 AND images.size >= ? AND +images.status IN (?, ?) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = ? AND image_properties.value = ?
 LIMIT ? OFFSET 0)) AND coalesce(images.name, '') = ? AND (images.created_at, images.id) < (?, ?) UNION ALL SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images 
WHERE images.visibility = 'shared' AND (EXISTS (SELECT members.image_id 
FROM members 
WHERE members.image_id = images.id AND images.visibility = 'shared' AND images.owner IS NOT ? AND members.member_id = ? AND members.expires_at > ? AND members.hidden = 0 AND NOT (EXISTS (SELECT endings.image_id 
FROM endings 
WHERE endings.image_id = members.image_id AND endings.member_id = members.member_id AND endings.ends_at > ?
 LIMIT ? OFFSET 0))
 LIMIT ? OFFSET 0)) AND images.os_hidden = 0 AND images.size >= ? AND +images.status IN (?, ?) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = ? AND image_properties.value = ?
 LIMIT ? OFFSET 0)) AND coalesce(images.name, '') > ? UNION ALL SELECT images.id AS image_id, 1 AS promised, coalesce(images.name, '') AS key_0, endings.image_created_at AS key_1, endings.image_id AS key_2 
FROM images JOIN endings ON endings.image_id = images.id 
WHERE endings.member_id = ? AND endings.ends_at > ? AND images.owner IS NOT ? AND (+images.visibility = 'shared' OR +images.visibility = 'private') AND images.os_hidden = 0 AND images.size >= ? AND CASE WHEN (images.status = ?) THEN 'active' ELSE images.status END IN (?, ?) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = endings.image_id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = endings.image_id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = endings.image_id AND image_properties.name = ? AND image_properties.value = ?
 LIMIT ? OFFSET 0)) AND coalesce(images.name, '') = ? AND (endings.image_created_at, endings.image_id) < (?, ?) UNION ALL SELECT images.id AS image_id, 1 AS promised, coalesce(images.name, '') AS key_0, endings.image_created_at AS key_1, endings.image_id AS key_2 
FROM images JOIN endings ON endings.image_id = images.id 
WHERE endings.member_id = ? AND endings.ends_at > ? AND images.owner IS NOT ? AND (+images.visibility = 'shared' OR +images.visibility = 'private') AND images.os_hidden = 0 AND images.size >= ? AND CASE WHEN (images.status = ?) THEN 'active' ELSE images.status END IN (?, ?) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = endings.image_id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = endings.image_id AND image_tags.tag = ?
 LIMIT ? OFFSET 0)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = endings.image_id AND image_properties.name = ? AND image_properties.value = ?
 LIMIT ? OFFSET 0)) AND coalesce(images.name, '') > ?) AS candidates ORDER BY candidates.key_0 ASC, candidates.key_1 DESC, candidates.key_2 DESC
 LIMIT ? OFFSET ?) AS chosen JOIN images ON images.id = chosen.image_id) AS sized ON sized.image_id = images.id 
WHERE sized.total_bytes <= ? OR sized.total_bytes = sized.own_bytes ORDER BY sized.key_0 ASC, sized.key_1 DESC, sized.key_2 DESC
